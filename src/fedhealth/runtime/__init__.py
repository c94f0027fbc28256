"""Who calls the algorithms: in this process, one by one or many nodes at once, or Flower."""
