# One image for all that is ours: Airflow's components, the Celery workers, MLflow and the gateway.
FROM python:3.11-slim

ENV AIRFLOW_HOME=/opt/airflow \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PYTHONUNBUFFERED=1

WORKDIR /build
COPY constraints/airflow-3.3-python-3.11.txt constraints.txt

# From this index torch comes without CUDA, which is several gigabytes less.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --no-deps --index-url "$TORCH_INDEX" "$(grep '^torch==' constraints.txt)"

# The dependencies are a layer of their own: a change of the sources does not install them again.
COPY pyproject.toml README.md LICENSE ./
COPY airflow_provider_autoglm/__init__.py airflow_provider_autoglm/
RUN pip install --constraint constraints.txt '.[deploy]' \
    && python -c 'import torch; assert torch.version.cuda is None, "torch came with CUDA"'

COPY dags/ dags/
COPY airflow_provider_autoglm/ airflow_provider_autoglm/
RUN pip install --no-deps --force-reinstall . && pip check

# Volumes take their owner from the folders that they are mounted over.
RUN useradd --uid 50000 --create-home airflow \
    && install --directory --owner=airflow --group=airflow \
        /opt/airflow /opt/airflow/dags /opt/airflow/logs /var/lib/autoglm /var/lib/mlflow /var/cache/gateway
COPY dags/ /opt/airflow/dags/
COPY compose/init.sh compose/is_healthy.py /opt/autoglm/

USER airflow
WORKDIR /opt/airflow
