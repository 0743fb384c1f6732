"""From video files, frame folders and procedural clips to network input, for every verb alike."""
