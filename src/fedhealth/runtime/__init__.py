"""Who calls the algorithms: in this process, or Flower."""
