"""Who writes the raw reasoning chains: a file per teacher."""
