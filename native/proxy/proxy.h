/* tskata-proxy: the host process that stands for one process in a guest. See README.md. */
#ifndef TSKATA_PROXY_H
#define TSKATA_PROXY_H

#include <stdbool.h>
#include <stddef.h>

/* What a caller sees when the guest process was lost with its VM: as if SIGKILL had ended it. */
#define STATUS_LOST 137

/* report.c */

/* Where the starter sends the request and waits for the answer; -1 once it has that. */
extern int starter_fd;
/* Tells the starter that the namespaces are entered. */
void placed(void);
/* Tells the starter that the streams are connected, and lets it go. */
void ready(void);
/* Ends the proxy with status 1, and tells the starter what was tried, on what, and the error's text if `error` is not 0. */
_Noreturn void fail(int error, const char *tried, const char *subject);

/* control.c: the line protocol on proxy.sock (ARCHITECTURE.md) */

/* Connects to a Unix stream socket below the working directory. */
int connect_unix(const char *path);
/* Reads one line into `line` without its line feed. Gives false at end of file or error, or if it is too long. */
bool read_line(int fd, char *line, size_t size);
/* Attaches with the token; gives the connection. Ends the proxy if the sandbox refuses. */
int attach(const char *token);
void send_signal_line(int control, unsigned signal_number);
void send_resize_line(int control, unsigned rows, unsigned columns);
void send_output_line(int control);
/* Takes what has come: gives the status of an EXIT line, -1 if there is none yet, -2 if the sandbox is gone. */
int receive_exit(int control);

/* terminal.c */

struct terminal_request {
  const char *console_socket; /* who gets the master of a new pty; NULL for none */
  bool on_stdio;              /* standard input and output are a terminal already: use that */
  unsigned short rows, columns; /* first size of a new pty; 0 leaves it alone */
};

/* Makes fds 0, 1 and 2 a raw terminal as asked. */
void open_terminal(const struct terminal_request *request);
/* Gives a terminal that was there before us its settings back. */
void restore_terminal(void);
/* Sends the terminal's size to the sandbox, if it has one. */
void forward_size(int control);
/* Sends one descriptor over the Unix stream socket at `path` (SCM_RIGHTS), with `name` as the message. */
void send_descriptor(const char *path, int fd, const char *name);

/* namespaces.c */

/* Puts this process into a new namespace of a kind: "net", "ipc" or "uts". The loopback interface of a new network is up. */
void make_namespace(const char *kind);
/* Puts this process into the namespace KIND:PATH, which must be of that kind. */
void join_namespace(const char *kind_and_path);
/* Puts this process into all namespaces, and at the root, of another proxy. */
void join_proxy(const char *pid);

/* root.c */

/* A folder or file of the host that the container sees in its root. */
struct volume {
  const char *source;
  const char *target; /* in the root */
  bool read_only, recursive;
};

struct root_request {
  const char *path; /* NULL to stay where we are */
  bool read_only;
  struct volume *volumes; /* in the order in which they are mounted */
  size_t count;
};

/* Makes the container's root file system, with its volumes, the root of a mount namespace of our own. */
void enter_root(const struct root_request *request);

/* relay.c */

/* Opens the guest's streams. */
void open_streams(const char *token, bool terminal);
/* Relays the streams and the signals until the guest process and its output have ended. */
int relay(int control, int signals, bool terminal);

/* request.c */

/* Reads the strings that the starter sends, each ended by NUL, up to an empty one. Gives them as main gets its arguments. */
char **read_request(int *count);

#endif
