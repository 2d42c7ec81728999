// Runs the agent's bytecode: one runtime, one context, and a loop of "one turn of TypeScript, then all promise jobs".
#include <stdint.h>
#include <stdio.h>

#include "sys.h"

// Written by qjsc from the bundled TypeScript.
extern const uint32_t agent_bytecode_size;
extern const uint8_t agent_bytecode[];
// PROGRAM_NAME comes with the compiler's command line: other programs run on this engine as well.

// A runaway allocation ends in a JavaScript error, not in the guest's OOM killer. The largest frame is 4 MiB.
#define MEMORY_LIMIT_BYTES (64u << 20)
// A new process has 8 MiB of stack (Linux, _STK_LIM); deep recursion ends in a JavaScript error long before.
#define STACK_LIMIT_BYTES (1u << 20)

// Bytecode is run where it is, in the program. QuickJS copies it after all if atoms have other numbers than qjsc gave them, so
// it is read before anything else makes atoms; ../build.ts sees to those that a bare context needs.
#define READ_FLAGS (JS_READ_OBJ_BYTECODE | JS_READ_OBJ_ROM_DATA)

static void print_error(JSContext *ctx, const char *what, JSValueConst error) {
  const char *text = JS_ToCString(ctx, error);
  JSValue stack = JS_IsObject(error) ? JS_GetPropertyStr(ctx, error, "stack") : JS_UNDEFINED;
  const char *stack_text = JS_IsString(stack) ? JS_ToCString(ctx, stack) : NULL;
  fprintf(stderr, PROGRAM_NAME ": %s: %s\n%s", what, text == NULL ? "(no text)" : text,
          stack_text == NULL ? "" : stack_text);
  if (stack_text != NULL) JS_FreeCString(ctx, stack_text);
  if (text != NULL) JS_FreeCString(ctx, text);
  JS_FreeValue(ctx, stack);
}

static int fatal(JSContext *ctx) {
  JSValue error = JS_GetException(ctx);
  print_error(ctx, "fatal", error);
  JS_FreeValue(ctx, error);
  return 1;
}

// The last promise that was rejected while nobody listened: reported unless a listener came in the same turn.
static JSValue rejected_promise;
static JSValue rejected_reason;

static void forget_rejection(JSContext *ctx) {
  JS_FreeValue(ctx, rejected_promise);
  JS_FreeValue(ctx, rejected_reason);
  rejected_promise = JS_UNDEFINED;
  rejected_reason = JS_UNDEFINED;
}

static void track_rejection(JSContext *ctx, JSValueConst promise, JSValueConst reason, JS_BOOL is_handled, void *opaque) {
  (void)opaque;
  if (!is_handled) {
    forget_rejection(ctx);
    rejected_promise = JS_DupValue(ctx, promise);
    rejected_reason = JS_DupValue(ctx, reason);
  } else if (JS_IsObject(rejected_promise) && JS_VALUE_GET_PTR(promise) == JS_VALUE_GET_PTR(rejected_promise)) {
    forget_rejection(ctx);
  }
}

static int run_jobs(JSRuntime *rt) {
  JSContext *job_context;
  int ran;
  while ((ran = JS_ExecutePendingJob(rt, &job_context)) > 0) {
  }
  return ran < 0 ? fatal(job_context) : 0;
}

static void report_rejection(JSContext *ctx) {
  if (!JS_IsUndefined(rejected_promise)) {
    print_error(ctx, "nobody handled this error", rejected_reason);
    forget_rejection(ctx);
  }
}

// What the agent uses of JavaScript's library. Not eval() and Function(), nor the compiler with them: what is not in this program
// cannot be made to run. Nor dates, proxies, weak references and normal forms of Unicode, which cost memory.
static void add_library(JSContext *ctx) {
  JS_AddIntrinsicBaseObjects(ctx);
  JS_AddIntrinsicRegExp(ctx);
  JS_AddIntrinsicJSON(ctx);
  JS_AddIntrinsicMapSet(ctx);
  JS_AddIntrinsicTypedArrays(ctx);
  JS_AddIntrinsicPromise(ctx);
}

// The exported function `turn` of the agent's module, once its top level has run.
static JSValue run_agent(JSRuntime *rt, JSContext *ctx, JSValue module) {
  if (JS_ResolveModule(ctx, module) < 0) return JS_EXCEPTION;
  JSModuleDef *definition = JS_VALUE_GET_PTR(module);
  JSValue evaluated = JS_EvalFunction(ctx, module);
  if (JS_IsException(evaluated)) return JS_EXCEPTION;
  if (run_jobs(rt) != 0) return JS_ThrowInternalError(ctx, "a job of the agent's top level failed");
  // If its top level failed, the caller reports that as fatal: once is enough.
  forget_rejection(ctx);
  if (JS_PromiseState(ctx, evaluated) != JS_PROMISE_FULFILLED)
    return JS_Throw(ctx, JS_PromiseResult(ctx, evaluated));
  JS_FreeValue(ctx, evaluated);
  JSValue exports = JS_GetModuleNamespace(ctx, definition);
  JSValue turn = JS_GetPropertyStr(ctx, exports, "turn");
  JS_FreeValue(ctx, exports);
  return turn;
}

// Returning from here ends the program; where it is pid 1 of a guest the kernel panics then, with the reason on the console.
int main(int argc, char **argv) {
  rejected_promise = JS_UNDEFINED;
  rejected_reason = JS_UNDEFINED;
  JSRuntime *rt = JS_NewRuntime();
  JSContext *ctx = rt == NULL ? NULL : JS_NewContextRaw(rt);
  if (ctx == NULL) {
    fputs(PROGRAM_NAME ": fatal: not enough memory to start\n", stderr);
    return 1;
  }
  JS_SetMemoryLimit(rt, MEMORY_LIMIT_BYTES);
  JS_SetMaxStackSize(rt, STACK_LIMIT_BYTES);
  JS_SetHostPromiseRejectionTracker(rt, track_rejection, NULL);
  JSValue module = JS_ReadObject(ctx, agent_bytecode, agent_bytecode_size, READ_FLAGS);
  add_library(ctx);
  if (JS_IsException(module) || sys_init_module(ctx, argc, argv) != 0) return fatal(ctx);
  JSValue turn = run_agent(rt, ctx, module);
  if (JS_IsException(turn)) return fatal(ctx);
  for (;;) {
    JSValue result = JS_Call(ctx, turn, JS_UNDEFINED, 0, NULL);
    if (JS_IsException(result)) return fatal(ctx);
    JS_FreeValue(ctx, result);
    if (run_jobs(rt) != 0) return 1;
    report_rejection(ctx);
  }
}
