"""What Airflow loads as plugins, in every component: nothing heavy."""
