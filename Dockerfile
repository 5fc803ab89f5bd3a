# autolink-gen on the CPU. See docs/guides/docker.md: this file has been checked by a linter, not built.
FROM python:3.12-slim AS build

# Both are addresses of package indexes for pip; without them it uses its own.
# TORCH_INDEX_URL is for PyTorch alone: the default wheels for Linux carry gigabytes of CUDA, those for CPUs do not.
ARG PIP_INDEX_URL
ARG TORCH_INDEX_URL

ENV PATH=/opt/autolink-gen/bin:$PATH
# Which versions fit is said in pyproject.toml.
# hadolint ignore=DL3013
RUN python -m venv /opt/autolink-gen \
    && pip install --no-cache-dir ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} "torch>=2.8" "torchvision>=0.23"

WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY autolink_gen autolink_gen
COPY cli cli
COPY configs configs
# hadolint ignore=DL3013
RUN pip install --no-cache-dir ".[eval,hub,plots,studio,tensorboard]"


FROM python:3.12-slim

COPY --from=build /opt/autolink-gen /opt/autolink-gen

# The cache can be written by any user, for docker run --user.
RUN useradd --create-home --uid 1000 autolink \
    && install --directory --owner=autolink --mode=0755 /work \
    && install --directory --mode=1777 /cache
ENV PATH=/opt/autolink-gen/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    AUTOLINK_GEN_CACHE=/cache/autolink-gen \
    HF_HOME=/cache/huggingface \
    MPLCONFIGDIR=/cache/matplotlib

USER 1000
WORKDIR /work
VOLUME ["/work", "/cache"]

# The studio's port: autolink-gen studio --host 0.0.0.0 --no-browser
EXPOSE 7860
ENTRYPOINT ["autolink-gen"]
CMD ["--help"]
