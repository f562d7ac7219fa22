"""Recipe to trajectories to verified HDF5 shards, and back to windows on a device."""
