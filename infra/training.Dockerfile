# syntax=docker/dockerfile:1

# The training job for AWS Batch on GPU (infra/training.yaml). From the root of the project:
#
#   docker build --platform linux/amd64 -f infra/training.Dockerfile -t agequote-training .
#
# Nothing in it needs a GPU to build. The driver is the host's.

# Go as in go.mod. bookworm has glibc 2.36, the image below has 2.39.
FROM golang:1.26.8-bookworm AS go
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download

# XLA's CUDA plugin and NVIDIA's libraries: some GB, apart so that a change of the code fetches none again.
FROM go AS cuda
COPY infra/cudaplugin infra/cudaplugin
RUN go run ./infra/cudaplugin -lib /opt/xla

# ONNX Runtime, for the detector and for parity with what is exported.
FROM go AS onnxruntime
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends python3-pip && rm -rf /var/lib/apt/lists/*
COPY infra/onnxruntime.sh infra/onnxruntime.sh
RUN mkdir /out && cp "$(infra/onnxruntime.sh linux-amd64)" /out/

# The face network that training begins with.
FROM node:22-bookworm AS backbone
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
WORKDIR /src
COPY infra/backbone.sh infra/backbone.sh
RUN XDG_CACHE_HOME=/out infra/backbone.sh

FROM go AS build
COPY . .
RUN make train-build

# `base` and not `runtime`: CUDA's libraries come with the plugin, and in the versions that it wants.
FROM nvidia/cuda:13.0.2-base-ubuntu24.04
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home training \
    && install --directory --owner 10001 --group 10001 /work
COPY --from=cuda /opt/xla /opt/xla
COPY --from=onnxruntime /out/ /opt/agequote/lib/
COPY --from=backbone /out/ /opt/agequote/cache/
COPY --from=build /src/bin/training /opt/agequote/bin/training
COPY --from=build /src/models /work/models
COPY --from=build /src/training/recipes /work/training/recipes

# By its path the plugin is used or the job fails: by its name, GoMLX would fall back to the CPU, hours later.
# XLA_FLAGS: go-xla v0.1.4 else sets a folder of its author's there, and XLA finds neither ptxas nor libdevice.
ENV GOMLX_BACKEND=xla:/opt/xla/go-xla/nvidia/pjrt_c_api_cuda_plugin.so \
    GOMLX_NO_AUTO_INSTALL=1 \
    XLA_FLAGS=--xla_gpu_cuda_data_dir=/opt/xla/go-xla/nvidia/cu13 \
    LD_LIBRARY_PATH=/opt/xla \
    XDG_CACHE_HOME=/opt/agequote/cache

WORKDIR /work
USER 10001:10001
ENTRYPOINT ["/opt/agequote/bin/training"]
CMD ["-h"]
