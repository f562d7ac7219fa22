"""The measure: score, speed, size → records → leaderboard → report. One file a metric under metrics/."""
