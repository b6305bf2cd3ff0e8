"""Would it have earned? Signals, candles and the executor itself, over the past. Nothing here sends anything."""
