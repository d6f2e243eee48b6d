# mmseq on a CPU or, with --gpus all and NVIDIA's container toolkit, on a GPU: torch's wheel brings its own CUDA.
#
#   docker build -t mmseq .
#   docker run --rm -it --shm-size 2g -v "$PWD":/work mmseq train --data data/mine/card.yaml
#
# Not built yet: no machine with a running Docker was at hand.
FROM python:3.11-slim-bookworm

# OpenCV's libraries.
RUN apt-get update && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 && rm -rf /var/lib/apt/lists/*
COPY setup.py pyproject.toml README.md LICENSE MANIFEST.in constraints.txt model-index.yml /src/
COPY mmseq /src/mmseq
COPY configs /src/configs
RUN pip install --no-cache-dir -c /src/constraints.txt "/src[mm]" && rm -rf /src

# Files that a run writes belong to whoever starts the container with --user, who has no home folder for caches.
ENV HOME=/tmp
WORKDIR /work
ENTRYPOINT ["mmseq"]
CMD ["--help"]
