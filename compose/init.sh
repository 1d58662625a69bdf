#!/usr/bin/env bash
# Brings the databases to this version, and adds user, Connections and Variables that are not there yet. It changes none
# that are, so it can run as often as wanted.
set -euo pipefail

connection() {
    airflow connections get "$1" >/dev/null 2>&1 || airflow connections add "$@"
}

airflow db migrate
airflow users create --username admin --password "$AIRFLOW_ADMIN_PASSWORD" --role Admin \
    --firstname Admin --lastname Admin --email admin@localhost
airflow variables import --action-on-existing-key skip "$VARIABLES_FILE"
connection mlflow_default --conn-type mlflow --conn-host "$MLFLOW_URL" \
    --conn-login admin --conn-password "$MLFLOW_ADMIN_PASSWORD"
connection autoglm_state --conn-type autoglm_state --conn-host "$AUTOGLM_STATE_URL" \
    --conn-login autoglm --conn-password "$AUTOGLM_DB_PASSWORD"
airflow autoglm db migrate
