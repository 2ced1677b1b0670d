"""Tagged reasoning chains: vocabulary and reader, teachers that write, taggers that label, filters that choose."""
