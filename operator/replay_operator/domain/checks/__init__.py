"""The production checklist of `replay-operator doctor`: pure checks over facts that were gathered before."""
