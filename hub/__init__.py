"""The application: who, which data, and the path that joins all."""
