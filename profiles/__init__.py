"""What is offered? Environments, sizes and places of a site, and who may use which profile."""
