"""Drawing helpers that figures of several papers share."""
