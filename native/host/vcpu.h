// The vCPU threads of libtskata: what TypeScript calls, and the memory that both sides see.
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#define TSKATA_EXPORT __attribute__((visibility("default")))

/** Whose turn it is. TypeScript looks at the exit only when the state is not TSKATA_VCPU_RUNNING. */
enum tskata_vcpu_state {
  TSKATA_VCPU_RUNNING = 0,      // the thread is in KVM_RUN, or on its way there
  TSKATA_VCPU_HANDED_OVER = 1,  // an exit waits for TypeScript; the thread spins
  TSKATA_VCPU_SLEEPING = 2,     // an exit waits for TypeScript; the thread sleeps on the futex
};

/** Exits are counted by KVM_EXIT_*; reasons behind the last slot share it. */
#define TSKATA_EXIT_SLOTS 64

struct kvm_run;

struct tskata_vcpu {
  _Atomic uint32_t state;   // enum tskata_vcpu_state; the futex
  _Atomic int32_t run_errno;  // of the KVM_RUN whose end is handed over; 0 when it left an exit in kvm_run
  _Atomic uint64_t exits[TSKATA_EXIT_SLOTS];

  // Not for TypeScript.
  _Atomic uint32_t listening;  // TypeScript spins for the next exit: it needs no eventfd
  _Atomic uint32_t kicked;
  _Atomic uint32_t stopping;
  volatile struct kvm_run *run;
  int vcpu_fd;
  int event_fd;
  unsigned index;
  uint32_t max_spin_ns;
  uint32_t thread_spin_ns;          // how long the thread spins for an answer
  _Atomic uint32_t caller_spin_ns;  // how long TypeScript spins for an exit; adapted by the thread, which sees both times
  uint64_t entered_ns;              // when the thread went (back) into the guest
  pthread_t thread;
};

/**
 * Starts the thread of a vCPU. Each exit that is not a mere interruption signals event_fd and waits for tskata_vcpu_continue.
 * @param max_spin_ns how long either side may spin for the other before it sleeps; 0 for not at all
 * @return NULL with errno set when there is no memory or no thread
 */
TSKATA_EXPORT struct tskata_vcpu *tskata_vcpu_start(int vcpu_fd, struct kvm_run *run, int event_fd, unsigned index,
                                                    uint32_t max_spin_ns);

/**
 * Answers the exit: the vCPU goes on.
 * @param listen whether to spin for the next exit
 * @return 1 when the next exit is there already (it need not have signalled event_fd), else 0
 */
TSKATA_EXPORT int tskata_vcpu_continue(struct tskata_vcpu *vcpu, int listen);

/** Makes the vCPU leave the guest: it hands over an end of KVM_RUN with run_errno EINTR. Nothing is lost in any state. */
TSKATA_EXPORT void tskata_vcpu_kick(struct tskata_vcpu *vcpu);

/** Ends the thread in whatever state it is, waits for it and frees all. */
TSKATA_EXPORT void tskata_vcpu_stop(struct tskata_vcpu *vcpu);
