# The one image of every Tidemark service: the dependencies exactly as constraints.txt pins them by hash, and the program.
#
#     docker build --tag tidemark:0.2.0 .
#
# PYTHON_IMAGE may name the same image by its digest, so that a later build is of the same base:
#     docker build --build-arg PYTHON_IMAGE=python:3.11.15-slim-bookworm@sha256:... --tag tidemark:0.2.0 .

ARG PYTHON_IMAGE=python:3.11.15-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
RUN python -m venv /opt/tidemark
WORKDIR /source
COPY constraints.txt ./
RUN /opt/tidemark/bin/python -m pip install --no-deps --require-hashes -r constraints.txt
COPY pyproject.toml README.md ./
COPY schemas schemas
COPY pipeline pipeline
COPY flows flows
COPY tidemark tidemark
RUN /opt/tidemark/bin/python -m pip install --no-deps --no-build-isolation .
# The database is a service of its own, and nothing is installed any more.
RUN rm -rf /opt/tidemark/lib/python3.11/site-packages/fiftyone/db/bin \
    && /opt/tidemark/bin/python -m pip uninstall --yes hatchling uv pip

FROM ${PYTHON_IMAGE}
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin tidemark \
    && install --directory --owner=tidemark --group=tidemark --mode=0700 /var/lib/tidemark
COPY --from=build /opt/tidemark /opt/tidemark
# Compiled rules are kept where a container may write: numba refuses to be imported where it finds no such place.
ENV PATH=/opt/tidemark/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TIDEMARK_HOME=/var/lib/tidemark \
    NUMBA_CACHE_DIR=/tmp/numba
WORKDIR /var/lib/tidemark
USER 10001:10001
ENTRYPOINT []
CMD ["tidemark", "--help"]
