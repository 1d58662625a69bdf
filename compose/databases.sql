-- Run once by PostgreSQL's container, while its data folder is empty: a role and a database for each of the three.
\set ON_ERROR_STOP on
\getenv airflow_password AIRFLOW_DB_PASSWORD
\getenv mlflow_password MLFLOW_DB_PASSWORD
\getenv autoglm_password AUTOGLM_DB_PASSWORD

create role airflow login password :'airflow_password';
create role mlflow login password :'mlflow_password';
create role autoglm login password :'autoglm_password';

create database airflow owner airflow;
create database mlflow owner mlflow;
create database mlflow_auth owner mlflow;
create database autoglm owner autoglm;

revoke connect on database airflow, mlflow, mlflow_auth, autoglm from public;
