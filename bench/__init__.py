"""The measure: score, speed, size, then records, then the leaderboard made from them."""
