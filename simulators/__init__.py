"""One file per kind of physics; each exports DOMAIN."""
