"""Side-by-side benchmarks: ours, the best other way, and the limit the machine sets, measured in one run.

`python -m bench` runs every module here that has `run(quick) -> list[Row]`. Numbers say nothing alone; ratios do.
"""

import warnings

warnings.filterwarnings("ignore", message=r"pyarrow\.lib", category=RuntimeWarning)  # pymongoarrow's build, harmless
