# One command for each thing that a person does with a checkout. `make demo` is the place to start.

PYTHON ?= python3
INSTALL = $(PYTHON) hub/demo/install.py
BIN = .venv/bin

# Byte code is compiled once, at installation: see hub/demo/install.py.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo smoke demo-slurm smoke-slurm demo-kubernetes smoke-kubernetes smoke-desktop apptainer kubernetes images test test-slurm-testing test-images unit lint format bench docs clean ci-packages desktop-packages slurm-packages kubernetes-packages

help:
	@echo "make demo    a running hub with demo data on this machine (ARGS='--port 8100')"
	@echo "make smoke   the demo's whole way without a browser, on free ports"
	@echo "make demo-slurm, make smoke-slurm    the same on a Slurm of their own (Debian 12, root)"
	@echo "make apptainer    what sessions in images need there (Go, root)"
	@echo "make demo-kubernetes, make smoke-kubernetes    the same in pods of a Kubernetes of their own (Debian, Go, root)"
	@echo "make kubernetes    the programs of a Kubernetes cluster, for its demo and tests (Go, root; ten minutes once)"
	@echo "make images    the container images, into the cache (Debian, root; ARGS='base hub' for some)"
	@echo "make smoke-desktop    the way of a desktop: typing, guests, outsiders (ARGS=--slurm or --kubernetes)"
	@echo "make test    all tests; what this machine lacks is skipped with the reason"
	@echo "make unit    the fast tests only"
	@echo "make lint    formatting, lint and types"
	@echo "make bench   benchmarks beside the peers (ONLY=name for one)"
	@echo "make docs    the documentation in build/docs"
	@echo "make clean   remove what was installed into the checkout"

demo:
	@$(INSTALL) demo
	@exec $(BIN)/panhub demo $(ARGS)

smoke:
	@$(INSTALL) demo
	@exec $(BIN)/panhub smoke $(ARGS)

demo-slurm: slurm-packages
	@$(INSTALL) demo
	@exec $(BIN)/panhub demo --slurm $(ARGS)

smoke-slurm: slurm-packages
	@$(INSTALL) demo
	@exec $(BIN)/panhub smoke --slurm $(ARGS)

# The first time they build the cluster's programs and the images, for a quarter of an hour.
demo-kubernetes: kubernetes desktop-packages
	@$(INSTALL) demo
	@exec $(BIN)/panhub demo --kubernetes $(ARGS)

smoke-kubernetes: kubernetes desktop-packages
	@$(INSTALL) demo
	@exec $(BIN)/panhub smoke --kubernetes $(ARGS)

# ARGS=--slurm: on a Slurm of its own (then as root: make slurm-packages desktop-packages); ARGS=--kubernetes: in a pod
smoke-desktop:
	@$(INSTALL) demo
	@exec $(BIN)/panhub smoke --desktop $(ARGS)

# For environments in images, on the demo's Slurm and in its tests: built once, in two to four minutes.
apptainer:
	$(call INSTALL_PACKAGES,$(APPTAINER_PACKAGES))
	@$(INSTALL) tools
	@$(BIN)/python -m hub.demo.slurm.image

# For the demo's Kubernetes and its tests: built once, in ten minutes of two processors.
kubernetes: kubernetes-packages
	@$(INSTALL) tools
	@$(BIN)/python -m hub.demo.kubernetes

# Those that tests and demo need take five minutes of two processors; notebook-full is large.
IMAGES = notebook-core desktop hub
images: kubernetes-packages
	@$(INSTALL) tools
	@$(BIN)/python -m hub.demo.kubernetes.images $(or $(ARGS),$(IMAGES))

test:
	@$(INSTALL) dev
	$(BIN)/pytest $(ARGS)

# Debian testing moves on, so this is no part of "make test".
test-slurm-testing: slurm-packages
	@$(INSTALL) dev
	PANHUB_SLURM_RELEASES=26.05 $(BIN)/pytest tests/integration/slurm -k 26.05 $(ARGS)

# The images that demo and tests do not use, looked at and used in the same way.
test-images: kubernetes
	@$(INSTALL) dev
	PANHUB_IMAGES="notebook-full gpu" $(BIN)/pytest tests/integration/kubernetes/test_images.py $(ARGS)

unit:
	@$(INSTALL) tools
	$(BIN)/pytest tests/unit $(ARGS)

lint:
	@$(INSTALL) tools
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format:
	@$(INSTALL) tools
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench:
	@$(INSTALL) dev
	$(BIN)/python -m tests.bench $(ONLY)

docs:
	@$(INSTALL) tools
	$(BIN)/sphinx-build -W --keep-going -q -b html docs build/docs

clean:
	rm -rf .venv build node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info

# What the tests need of Debian and Ubuntu; as root. Elsewhere they skip what is missing.
SLURM_PACKAGES = slurmctld slurmd slurmdbd slurmrestd slurm-client slurm-wlm-jwt-plugin slurm-wlm-mysql-plugin \
  munge mariadb-server debootstrap bubblewrap acl sudo python3-venv
DESKTOP_PACKAGES = bubblewrap tigervnc-standalone-server tigervnc-tools x11-xkb-utils x11-xserver-utils icewm xterm \
  fonts-dejavu-core libgl1-mesa-dri libegl1 libopengl0 libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 \
  libxcb-shape0 libxkbcommon-x11-0 mesa-utils g++ python3-dev
# Building apptainer, mounting and making images; Go is not Debian's, which is too old.
APPTAINER_PACKAGES = build-essential squashfuse squashfs-tools debootstrap
# A node's programs, rights on data, making images, and a small image for tests; Kubernetes itself is built.
KUBERNETES_PACKAGES = runc containernetworking-plugins nftables iproute2 acl buildah debootstrap busybox-static
CI_PACKAGES = bubblewrap chromium postgresql openjdk-17-jre-headless maven fonts-dejavu-core \
  $(DESKTOP_PACKAGES) $(SLURM_PACKAGES) $(APPTAINER_PACKAGES) $(KUBERNETES_PACKAGES) xrdp openssh-server

# Their daemons are not started (invoke-rc.d(8)): demo and tests run their own.
INSTALL_PACKAGES = @missing=; for package in $(1); do \
	  dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" != 0 ]; then echo "Missing Debian packages; install them as root:$$missing" >&2; exit 1; fi; \
	  echo "Installing Debian packages:$$missing"; \
	  policy=/usr/sbin/policy-rc.d; \
	  if [ ! -e $$policy ]; then \
	    trap "rm -f $$policy" EXIT; printf '\#!/bin/sh\nexit 101\n' > $$policy; chmod 755 $$policy; \
	  fi; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi

ci-packages:
	$(call INSTALL_PACKAGES,$(CI_PACKAGES))

desktop-packages:
	$(call INSTALL_PACKAGES,$(DESKTOP_PACKAGES))

slurm-packages:
	$(call INSTALL_PACKAGES,$(SLURM_PACKAGES))

kubernetes-packages:
	$(call INSTALL_PACKAGES,$(KUBERNETES_PACKAGES))
