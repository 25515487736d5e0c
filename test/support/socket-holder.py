"""Does what systemd does for a service with a socket unit: holds listening sockets, starts a program with them, again and again.

Arguments: host, number of sockets, then the program's. Prints the port; at each line of standard input it starts the program once
more and prints its process id. Output of the programs goes to files named by their process ids in the working folder."""

import os
import socket
import sys

host, count, *program = sys.argv[1:]
sockets = []
for _ in range(int(count)):
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    holder.bind((host, sockets[0].getsockname()[1] if sockets else 0))
    holder.listen(1024)
    sockets.append(holder)
print(sockets[0].getsockname()[1], flush=True)
children = []
for _ in sys.stdin:
    child = os.fork()
    if child == 0:
        output = os.open(f"{os.getpid()}.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        # First out of the way of the numbers that they are to have.
        moved = [os.dup2(holder.fileno(), 100 + n) for n, holder in enumerate(sockets)]
        for n, number in enumerate(moved):
            os.dup2(number, 3 + n, inheritable=True)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.closerange(3 + len(sockets), 200)
        os.environ.update(LISTEN_FDS=str(len(sockets)), LISTEN_PID=str(os.getpid()))
        os.execvp(program[0], program)
    children.append(child)
    print(child, flush=True)
for child in children:
    os.waitpid(child, 0)
