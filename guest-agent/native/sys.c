// The module `tskata-sys`: the things that TypeScript cannot do by itself. README.md in this folder justifies each.
// Nothing here knows what a system call means: numbers, flags and structure layouts are in ../src/linux.
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys.h"

// The kernel takes at most six arguments (syscall(2)).
#define MAX_ARGUMENTS 6

static int g_argc;
static char **g_argv;

// A C string that holds all of the JavaScript string: one with a NUL inside would name another file than was meant.
static const char *to_c_string(JSContext *ctx, JSValueConst value) {
  size_t length;
  const char *text = JS_ToCStringLen(ctx, &length, value);
  if (text != NULL && strlen(text) != length) {
    JS_FreeCString(ctx, text);
    JS_ThrowTypeError(ctx, "a string for the kernel must not contain a NUL character");
    return NULL;
  }
  return text;
}

// Address and length of the bytes of a Uint8Array; valid until the array is freed.
static uint8_t *bytes_of(JSContext *ctx, JSValueConst value, size_t *length) {
  size_t offset = 0;
  size_t size = 0;
  JSValue buffer = JS_GetTypedArrayBuffer(ctx, value, &offset, length, NULL);
  if (JS_IsException(buffer)) return NULL;
  uint8_t *data = JS_GetArrayBuffer(ctx, &size, buffer);
  JS_FreeValue(ctx, buffer);
  if (data == NULL || offset > size || *length > size - offset) {
    if (data != NULL) JS_ThrowRangeError(ctx, "the array lies outside of its buffer");
    return NULL;
  }
  return data + offset;
}

// syscall(number, ...arguments): result or minus errno. Arguments: number or bigint as it is; string as a C string;
// Uint8Array as the address of its bytes; null as 0.
static JSValue sys_syscall(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self;
  long arguments[MAX_ARGUMENTS] = {0};
  const char *strings[MAX_ARGUMENTS] = {0};
  int32_t number;
  JSValue result = JS_EXCEPTION;
  if (argc < 1 || argc > 1 + MAX_ARGUMENTS) return JS_ThrowTypeError(ctx, "syscall takes a number and up to six arguments");
  if (JS_ToInt32(ctx, &number, argv[0]) != 0) return JS_EXCEPTION;
  for (int i = 0; i < argc - 1; i++) {
    JSValueConst value = argv[i + 1];
    if (JS_IsString(value)) {
      strings[i] = to_c_string(ctx, value);
      if (strings[i] == NULL) goto out;
      arguments[i] = (long)strings[i];
    } else if (JS_IsObject(value)) {
      size_t length;
      uint8_t *bytes = bytes_of(ctx, value, &length);
      if (bytes == NULL) goto out;
      arguments[i] = (long)bytes;
    } else if (!JS_IsNull(value)) {
      int64_t integer;
      if (!JS_IsNumber(value) && !JS_IsBigInt(ctx, value)) {
        JS_ThrowTypeError(ctx, "argument %d of a system call is no number, string, Uint8Array or null", i + 1);
        goto out;
      }
      if (JS_ToInt64Ext(ctx, &integer, value) != 0) goto out;
      arguments[i] = (long)integer;
    }
  }
  long returned =
      syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
  result = JS_NewInt64(ctx, returned == -1 ? -(int64_t)errno : (int64_t)returned);
out:
  for (int i = 0; i < MAX_ARGUMENTS; i++)
    if (strings[i] != NULL) JS_FreeCString(ctx, strings[i]);
  return result;
}

static void free_string_list(JSContext *ctx, const char **list) {
  if (list == NULL) return;
  for (const char **item = list; *item != NULL; item++) JS_FreeCString(ctx, *item);
  js_free(ctx, list);
}

// A NULL-terminated list of C strings from an array of strings; NULL with an exception pending when it cannot be.
static const char **to_string_list(JSContext *ctx, JSValueConst array) {
  JSValue length_value = JS_GetPropertyStr(ctx, array, "length");
  uint32_t length = 0;
  int failed = JS_ToUint32(ctx, &length, length_value);
  JS_FreeValue(ctx, length_value);
  if (failed) return NULL;
  const char **list = js_mallocz(ctx, ((size_t)length + 1) * sizeof(*list));
  if (list == NULL) return NULL;
  for (uint32_t i = 0; i < length; i++) {
    JSValue item = JS_GetPropertyUint32(ctx, array, i);
    list[i] = JS_IsException(item) ? NULL : to_c_string(ctx, item);
    JS_FreeValue(ctx, item);
    if (list[i] == NULL) {
      free_string_list(ctx, list);
      return NULL;
    }
  }
  return list;
}

// execve(path, argv, envp): minus errno; returns only when it failed.
static JSValue sys_execve(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self;
  if (argc != 3) return JS_ThrowTypeError(ctx, "execve takes a path, arguments and an environment");
  JSValue result = JS_EXCEPTION;
  const char *path = to_c_string(ctx, argv[0]);
  const char **arguments = path == NULL ? NULL : to_string_list(ctx, argv[1]);
  const char **environment = arguments == NULL ? NULL : to_string_list(ctx, argv[2]);
  if (environment != NULL) {
    syscall(SYS_execve, path, arguments, environment);
    result = JS_NewInt32(ctx, -errno);
  }
  free_string_list(ctx, environment);
  free_string_list(ctx, arguments);
  if (path != NULL) JS_FreeCString(ctx, path);
  return result;
}

// encodeUtf8(text): Uint8Array
static JSValue sys_encode_utf8(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self;
  if (argc != 1) return JS_ThrowTypeError(ctx, "encodeUtf8 takes a string");
  size_t length;
  const char *text = JS_ToCStringLen(ctx, &length, argv[0]);
  if (text == NULL) return JS_EXCEPTION;
  JSValue buffer = JS_NewArrayBufferCopy(ctx, (const uint8_t *)text, length);
  JS_FreeCString(ctx, text);
  if (JS_IsException(buffer)) return JS_EXCEPTION;
  JSValueConst arguments[] = {buffer, JS_UNDEFINED, JS_UNDEFINED};
  JSValue array = JS_NewTypedArray(ctx, 3, arguments, JS_TYPED_ARRAY_UINT8);
  JS_FreeValue(ctx, buffer);
  return array;
}

// How many bytes of UTF-8 the character has that begins here; 0 for none, and then *wrong bytes are one mistake. What counts
// as one is as in the Encoding Standard ("UTF-8 decoder"), so that this engine reads what the host's reads.
static size_t character_length(const uint8_t *bytes, size_t length, size_t *wrong) {
  uint8_t lead = bytes[0];
  *wrong = 1;
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  size_t following = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
  // Neither a longer form than needed, nor half of a surrogate pair, nor beyond U+10FFFF: all told by the second byte.
  uint8_t least = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  uint8_t most = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  for (size_t i = 1; i <= following; i++) {
    *wrong = i;
    if (i >= length || bytes[i] < least || bytes[i] > most) return 0;
    least = 0x80;
    most = 0xbf;
  }
  return following + 1;
}

static const char replacement_character[] = "\xef\xbf\xbd";
#define REPLACEMENT_LENGTH (sizeof(replacement_character) - 1)

// decodeUtf8(bytes): string; what is no UTF-8 becomes U+FFFD
static JSValue sys_decode_utf8(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self;
  if (argc != 1) return JS_ThrowTypeError(ctx, "decodeUtf8 takes a Uint8Array");
  size_t length, wrong;
  uint8_t *bytes = bytes_of(ctx, argv[0], &length);
  if (bytes == NULL) return JS_EXCEPTION;
  size_t mistakes = 0;
  for (size_t at = 0, character; at < length; at += character != 0 ? character : wrong) {
    character = character_length(bytes + at, length - at, &wrong);
    mistakes += character == 0;
  }
  if (mistakes == 0) return JS_NewStringLen(ctx, (const char *)bytes, length);
  char *text = js_malloc(ctx, length + mistakes * REPLACEMENT_LENGTH);
  if (text == NULL) return JS_EXCEPTION;
  size_t filled = 0;
  for (size_t at = 0, character; at < length; at += character != 0 ? character : wrong) {
    character = character_length(bytes + at, length - at, &wrong);
    memcpy(text + filled, character != 0 ? (char *)bytes + at : replacement_character,
           character != 0 ? character : REPLACEMENT_LENGTH);
    filled += character != 0 ? character : REPLACEMENT_LENGTH;
  }
  JSValue string = JS_NewStringLen(ctx, text, filled);
  js_free(ctx, text);
  return string;
}

// addressOf(bytes): bigint, where the bytes are; good for as long as the array is referenced
static JSValue sys_address_of(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)self;
  if (argc != 1) return JS_ThrowTypeError(ctx, "addressOf takes a Uint8Array");
  size_t length;
  uint8_t *bytes = bytes_of(ctx, argv[0], &length);
  if (bytes == NULL) return JS_EXCEPTION;
  return JS_NewBigUint64(ctx, (uint64_t)(uintptr_t)bytes);
}

// trap(): ends this process by a signal of the processor's, which no seccomp filter can forbid
static JSValue sys_trap(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
  (void)ctx, (void)self, (void)argc, (void)argv;
  __builtin_trap();
}

static const JSCFunctionListEntry functions[] = {
    JS_CFUNC_DEF("syscall", 7, sys_syscall),
    JS_CFUNC_DEF("execve", 3, sys_execve),
    JS_CFUNC_DEF("addressOf", 1, sys_address_of),
    JS_CFUNC_DEF("trap", 0, sys_trap),
    JS_CFUNC_DEF("encodeUtf8", 1, sys_encode_utf8),
    JS_CFUNC_DEF("decodeUtf8", 1, sys_decode_utf8),
};
#define FUNCTION_COUNT ((int)(sizeof(functions) / sizeof(functions[0])))

static int fill_module(JSContext *ctx, JSModuleDef *module) {
  JSValue arguments = JS_NewArray(ctx);
  if (JS_IsException(arguments)) return -1;
  for (int i = 0; i < g_argc; i++)
    if (JS_SetPropertyUint32(ctx, arguments, (uint32_t)i, JS_NewString(ctx, g_argv[i])) < 0) {
      JS_FreeValue(ctx, arguments);
      return -1;
    }
  if (JS_SetModuleExport(ctx, module, "argv", arguments) != 0) return -1;
  return JS_SetModuleExportList(ctx, module, functions, FUNCTION_COUNT);
}

int sys_init_module(JSContext *ctx, int argc, char **argv) {
  g_argc = argc;
  g_argv = argv;
  JSModuleDef *module = JS_NewCModule(ctx, "tskata-sys", fill_module);
  if (module == NULL || JS_AddModuleExport(ctx, module, "argv") != 0) return -1;
  return JS_AddModuleExportList(ctx, module, functions, FUNCTION_COUNT);
}
