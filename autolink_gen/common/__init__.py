"""Tools that know nothing of keypoints: files, text, limits, the net."""
