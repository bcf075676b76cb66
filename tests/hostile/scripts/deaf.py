# Tries: to run on past its time, deaf to every signal.
# Expect: ends ScriptTimeout
# Bare: not shown: outside there is no time to run past; signals are ignored as any program may
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM, signal.SIGXCPU):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
while True:
    time.sleep(1000)
