"""The executor's own rules once more, compiled: a run costs its trades, not its minutes.

It holds nothing but numbers. Every rule here stands in the executor first, and a differential test compares both trade
by trade. What only the exact engine can do is counted where it is met (`odd`), and such a run is the other's.

What is compiled is kept by the text of this folder: nothing that is compiled here takes a rule or a number from another
one, but for what is handed in.
"""
