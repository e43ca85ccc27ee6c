"""The chart's values: their model, schema and pages; and what its jobs run in a cluster."""
