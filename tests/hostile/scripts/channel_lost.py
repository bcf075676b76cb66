# Tries: to close the channel and run on unseen.
# Expect: ends ProcessDied ScriptTimeout
# Bare: not shown: outside the sandbox there is no such channel
os.close(3)
os._exit(0)
