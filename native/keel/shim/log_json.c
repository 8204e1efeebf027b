/* Entries of the json-file log, escaped as Go's encoder does with HTML escaping on. */
#include <string.h>
#include <time.h>
#include "log.h"

static const char hex[] = "0123456789abcdef";

static char *put(char *out, const char *text) {
  size_t n = strlen(text);
  memcpy(out, text, n);
  return out + n;
}

static char *put_digits(char *out, unsigned value, int width) {
  for (int i = width - 1; i >= 0; i--, value /= 10) out[i] = (char)('0' + value % 10);
  return out + width;
}

size_t format_time(char *out, uint64_t at_ns) {
  time_t seconds = (time_t)(at_ns / 1000000000u);
  unsigned fraction = (unsigned)(at_ns % 1000000000u);
  struct tm tm;
  gmtime_r(&seconds, &tm);
  char *at = put_digits(out, (unsigned)tm.tm_year + 1900, 4);
  *at++ = '-';
  at = put_digits(at, (unsigned)tm.tm_mon + 1, 2);
  *at++ = '-';
  at = put_digits(at, (unsigned)tm.tm_mday, 2);
  *at++ = 'T';
  at = put_digits(at, (unsigned)tm.tm_hour, 2);
  *at++ = ':';
  at = put_digits(at, (unsigned)tm.tm_min, 2);
  *at++ = ':';
  at = put_digits(at, (unsigned)tm.tm_sec, 2);
  if (fraction) {
    *at++ = '.';
    at = put_digits(at, fraction, 9);
    while (at[-1] == '0') at--;
  }
  *at++ = 'Z';
  *at = 0;
  return (size_t)(at - out);
}

/* Length of the UTF-8 sequence at `s` (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF), 0 if invalid. */
static size_t sequence(const uint8_t *s, size_t left) {
  uint8_t lead = s[0], low = 0x80, high = 0xbf;
  size_t n;
  if (lead >= 0xc2 && lead <= 0xdf) n = 2;
  else if (lead >= 0xe0 && lead <= 0xef) n = 3;
  else if (lead >= 0xf0 && lead <= 0xf4) n = 4;
  else return 0;
  if (lead == 0xe0) low = 0xa0;
  if (lead == 0xed) high = 0x9f;
  if (lead == 0xf0) low = 0x90;
  if (lead == 0xf4) high = 0x8f;
  if (left < n || s[1] < low || s[1] > high) return 0;
  for (size_t i = 2; i < n; i++)
    if ((s[i] & 0xc0) != 0x80) return 0;
  return n;
}

static bool is_plain(uint8_t b) {
  return b >= 0x20 && b < 0x80 && b != '\\' && b != '"' && b != '<' && b != '>' && b != '&';
}

static char *escape_ascii(char *out, uint8_t b) {
  *out++ = '\\';
  switch (b) {
    case '\\': case '"': *out++ = (char)b; return out;
    case '\n': *out++ = 'n'; return out;
    case '\r': *out++ = 'r'; return out;
    default:
      out = put(out, "u00");
      *out++ = hex[b >> 4];
      *out++ = hex[b & 15];
      return out;
  }
}

static char *escape(char *out, const uint8_t *text, size_t length) {
  for (size_t i = 0; i < length;) {
    size_t run = i;
    while (run < length && is_plain(text[run])) run++;
    if (run > i) {
      memcpy(out, text + i, run - i);
      out += run - i;
      i = run;
    } else if (text[i] < 0x80) {
      out = escape_ascii(out, text[i++]);
    } else {
      size_t n = sequence(text + i, length - i);
      if (n == 0) {
        out = put(out, "\\ufffd");
        i++;
      } else if (n == 3 && text[i] == 0xe2 && text[i + 1] == 0x80 && (text[i + 2] & 0xfe) == 0xa8) {
        out = put(out, "\\u202"); /* line and paragraph separators */
        *out++ = hex[text[i + 2] & 15];
        i += n;
      } else {
        memcpy(out, text + i, n);
        out += n;
        i += n;
      }
    }
  }
  return out;
}

size_t log_entry(char *out, const uint8_t *text, size_t length, bool newline, const char *stream, uint64_t at_ns) {
  char *at = put(out, "{\"log\":\"");
  at = escape(at, text, length);
  if (newline) at = put(at, "\\n");
  at = put(at, "\",\"stream\":\"");
  at = put(at, stream);
  at = put(at, "\",\"time\":\"");
  at += format_time(at, at_ns);
  at = put(at, "\"}\n");
  return (size_t)(at - out);
}
