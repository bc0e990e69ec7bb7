/* Start-up code for a Cortex-M: vector table, memory set-up, then main. Output and exit through semihosting. */
#include <stdint.h>

extern uint32_t _stack_top, _data_start, _data_end, _data_load, _bss_start, _bss_end;
int main(void);
void reset_handler(void);
void fault_handler(void);
void platform_print(const char *text);
void platform_exit(int code);

static int semihosting(int operation, const void *argument) {
  register int r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

void platform_print(const char *text) { semihosting(0x04, text); }

void platform_exit(int code) {
  const uint32_t block[2] = {0x20026u, (uint32_t)code}; /* ADP_Stopped_ApplicationExit */
  semihosting(0x20, block);
  for (;;) {
  }
}

void fault_handler(void) { platform_exit(3); }

void reset_handler(void) {
  uint32_t *source = &_data_load;
  uint32_t *target;
  *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20; /* let the program use the floating-point unit */
  for (target = &_data_start; target < &_data_end;) {
    *target++ = *source++;
  }
  for (target = &_bss_start; target < &_bss_end;) {
    *target++ = 0;
  }
  platform_exit(main());
}

__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
    &_stack_top,   (void *)reset_handler, (void *)fault_handler, (void *)fault_handler,
    (void *)fault_handler, (void *)fault_handler, (void *)fault_handler,
};
