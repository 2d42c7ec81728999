// Layout of the memory that libtskata and TypeScript share.
#include "../host/vcpu.h"
#include "print.h"

int main(void)
{
  C(TSKATA_VCPU_RUNNING) C(TSKATA_EXIT_SLOTS)
  STRUCT(tskata_vcpu, M(state) M(run_errno) M(exits))
  return 0;
}
