/** Sizes as docker prints them (go-units). */

const decimal = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
const binary = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];

interface Scale {
  readonly base: number;
  readonly names: readonly string[];
  readonly digits: number;
}

function scaled(bytes: number, { base, names, digits }: Scale): string {
  let size = bytes;
  let unit = 0;
  while (size >= base && unit < names.length - 1) {
    size /= base;
    unit++;
  }
  return `${formatG(size, digits)}${names[unit]}`;
}

/** C's %.Ng: significant digits without trailing zeros, exponent when it is long. */
export function formatG(value: number, digits: number): string {
  if (value === 0) return "0";
  const exponent = Math.floor(Math.log10(Math.abs(Number(value.toPrecision(digits)))));
  if (exponent < -4 || exponent >= digits) {
    const [mantissa, power] = value.toExponential(digits - 1).split("e") as [string, string];
    const sign = power.startsWith("-") ? "-" : "+";
    return `${trimZeros(mantissa)}e${sign}${power.replace(/^[-+]/, "").padStart(2, "0")}`;
  }
  return trimZeros(value.toPrecision(digits));
}

const trimZeros = (text: string): string => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);

/** "1.5MB": base 1000, 4 digits (images, system df). */
export const humanSize = (bytes: number, digits = 4): string => scaled(bytes, { base: 1000, names: decimal, digits });

/** "1.5MiB": base 1024, 4 digits (stats). */
export const bytesSize = (bytes: number): string => scaled(bytes, { base: 1024, names: binary, digits: 4 });
