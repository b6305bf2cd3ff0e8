"""What a person can ask of Tidemark, and what it can be told to do, once: the command line, the flows, the page and
`import tidemark` call this, and nothing below it. Here the parts are made of the settings. It prints nothing."""
