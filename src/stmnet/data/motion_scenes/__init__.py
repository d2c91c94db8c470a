"""Drawn scenes whose action is in the motion alone: textured things over textured backdrops."""
