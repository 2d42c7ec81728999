// One thread per vCPU runs KVM_RUN; JavaScript cannot, since KVM_RUN blocks and its one thread must go on.
#define _GNU_SOURCE
#include "vcpu.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define STACK_SIZE (128 * 1024)
#define SHORTEST_SPIN_NS 4000
#define PAUSES_PER_LOOK 16

// Node and libuv leave real-time signals alone; glibc keeps those below SIGRTMIN for itself.
#define KICK_SIGNAL SIGRTMIN

static void ignore_signal(int signal)
{
  (void)signal;  // its delivery alone makes KVM_RUN and futex return
}

static uint64_t now_ns(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static long futex(_Atomic uint32_t *word, int operation, uint32_t value)
{
  return syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

/** Spin longer when the answer came soon after the spin, not at all when answers take long. */
static uint32_t adapt_spin(uint32_t spin_ns, uint32_t max_ns, uint64_t waited_ns)
{
  if (waited_ns <= spin_ns) return spin_ns;
  if (waited_ns <= max_ns) {
    uint32_t longer = spin_ns < SHORTEST_SPIN_NS ? SHORTEST_SPIN_NS : spin_ns * 2;
    return longer < max_ns ? longer : max_ns;
  }
  return spin_ns <= SHORTEST_SPIN_NS ? 0 : spin_ns / 2;
}

static void pause_for_a_look(void)
{
  for (int i = 0; i < PAUSES_PER_LOOK; i++) __builtin_ia32_pause();
}

static int waits_for_answer(struct tskata_vcpu *vcpu)
{
  return atomic_load(&vcpu->state) != TSKATA_VCPU_RUNNING && !atomic_load(&vcpu->stopping);
}

static void wait_for_answer(struct tskata_vcpu *vcpu)
{
  const uint64_t start = now_ns();
  const uint64_t ran = start - vcpu->entered_ns;
  atomic_store(&vcpu->caller_spin_ns, adapt_spin(atomic_load(&vcpu->caller_spin_ns), vcpu->max_spin_ns, ran));
  uint64_t waited = 0;
  while (waits_for_answer(vcpu) && waited < vcpu->thread_spin_ns) {
    pause_for_a_look();
    waited = now_ns() - start;
  }
  uint32_t expected = TSKATA_VCPU_HANDED_OVER;
  if (atomic_compare_exchange_strong(&vcpu->state, &expected, TSKATA_VCPU_SLEEPING)) {
    while (waits_for_answer(vcpu)) futex(&vcpu->state, FUTEX_WAIT, TSKATA_VCPU_SLEEPING);
  }
  vcpu->entered_ns = now_ns();
  vcpu->thread_spin_ns = adapt_spin(vcpu->thread_spin_ns, vcpu->max_spin_ns, vcpu->entered_ns - start);
}

static void hand_over(struct tskata_vcpu *vcpu, int run_errno)
{
  atomic_store(&vcpu->run_errno, run_errno);
  atomic_store(&vcpu->state, TSKATA_VCPU_HANDED_OVER);
  // Either this sees that TypeScript listens, or TypeScript's last look (after it stopped listening) sees the state.
  if (!atomic_load(&vcpu->listening)) eventfd_write(vcpu->event_fd, 1);
  wait_for_answer(vcpu);
}

static void count_exit(struct tskata_vcpu *vcpu, uint32_t reason)
{
  _Atomic uint64_t *slot = &vcpu->exits[reason < TSKATA_EXIT_SLOTS ? reason : TSKATA_EXIT_SLOTS - 1];
  atomic_store_explicit(slot, atomic_load_explicit(slot, memory_order_relaxed) + 1, memory_order_relaxed);
}

/** KVM_RUN came back without an exit to decide on: a signal, or a vCPU that waits to be started was woken. */
static void interrupted(struct tskata_vcpu *vcpu)
{
  count_exit(vcpu, KVM_EXIT_INTR);
  // Cleared before `kicked` is looked at, set after it: a kick in between costs one more turn and is not lost.
  vcpu->run->immediate_exit = 0;
  if (atomic_exchange(&vcpu->kicked, 0)) hand_over(vcpu, EINTR);
}

static void *vcpu_thread(void *argument)
{
  struct tskata_vcpu *vcpu = argument;
  char name[16];
  snprintf(name, sizeof name, "vcpu%u", vcpu->index);
  pthread_setname_np(pthread_self(), name);
  sigset_t kick;
  sigemptyset(&kick);
  sigaddset(&kick, KICK_SIGNAL);
  pthread_sigmask(SIG_UNBLOCK, &kick, NULL);

  while (!atomic_load(&vcpu->stopping)) {
    if (ioctl(vcpu->vcpu_fd, KVM_RUN, 0) < 0) {
      if (errno == EINTR || errno == EAGAIN) interrupted(vcpu);
      else hand_over(vcpu, errno);
    } else if (vcpu->run->exit_reason == KVM_EXIT_INTR) {
      interrupted(vcpu);
    } else {
      count_exit(vcpu, vcpu->run->exit_reason);
      hand_over(vcpu, 0);
    }
  }
  return NULL;
}

/** Creates the thread with all signals but the kick blocked, so that Node's signals never end up in a guest. */
static int create_thread(struct tskata_vcpu *vcpu)
{
  struct sigaction action = {.sa_handler = ignore_signal};  // no SA_RESTART: KVM_RUN must come back
  sigaction(KICK_SIGNAL, &action, NULL);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK_SIZE);
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int error = pthread_create(&vcpu->thread, &attributes, vcpu_thread, vcpu);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  return error;
}

struct tskata_vcpu *tskata_vcpu_start(int vcpu_fd, struct kvm_run *run, int event_fd, unsigned index,
                                      uint32_t max_spin_ns)
{
  struct tskata_vcpu *vcpu = calloc(1, sizeof *vcpu);
  if (vcpu == NULL) return NULL;
  vcpu->run = run;
  vcpu->vcpu_fd = vcpu_fd;
  vcpu->event_fd = event_fd;
  vcpu->index = index;
  vcpu->max_spin_ns = max_spin_ns;
  int error = create_thread(vcpu);
  if (error != 0) {
    free(vcpu);
    errno = error;
    return NULL;
  }
  return vcpu;
}

int tskata_vcpu_continue(struct tskata_vcpu *vcpu, int listen)
{
  atomic_store(&vcpu->listening, listen && vcpu->max_spin_ns > 0);
  if (atomic_exchange(&vcpu->state, TSKATA_VCPU_RUNNING) == TSKATA_VCPU_SLEEPING) futex(&vcpu->state, FUTEX_WAKE, 1);
  if (!atomic_load(&vcpu->listening)) return 0;

  const uint64_t start = now_ns();
  uint64_t waited = 0;
  const uint32_t spin_ns = atomic_load(&vcpu->caller_spin_ns);
  while (atomic_load(&vcpu->state) == TSKATA_VCPU_RUNNING && waited < spin_ns) {
    pause_for_a_look();
    waited = now_ns() - start;
  }
  atomic_store(&vcpu->listening, 0);
  return atomic_load(&vcpu->state) != TSKATA_VCPU_RUNNING;
}

void tskata_vcpu_kick(struct tskata_vcpu *vcpu)
{
  atomic_store(&vcpu->kicked, 1);
  vcpu->run->immediate_exit = 1;
  pthread_kill(vcpu->thread, KICK_SIGNAL);
}

void tskata_vcpu_stop(struct tskata_vcpu *vcpu)
{
  atomic_store(&vcpu->stopping, 1);
  vcpu->run->immediate_exit = 1;
  atomic_store(&vcpu->state, TSKATA_VCPU_RUNNING);
  futex(&vcpu->state, FUTEX_WAKE, 1);
  pthread_kill(vcpu->thread, KICK_SIGNAL);
  pthread_join(vcpu->thread, NULL);
  free(vcpu);
}
