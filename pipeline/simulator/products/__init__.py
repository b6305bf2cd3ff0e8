"""The markets of the exchange, one table each: what differs between them is written here and nowhere else."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from pipeline.simulator.products.cm import CM
from pipeline.simulator.products.product import Product
from pipeline.simulator.products.spot import SPOT
from pipeline.simulator.products.um import UM

PRODUCTS: Final[Mapping[str, Product]] = MappingProxyType({product.name: product for product in (UM, CM, SPOT)})

__all__ = ["PRODUCTS", "Product"]
