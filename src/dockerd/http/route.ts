/**
 * Routes are data; a resource's folder exports a table of them. Paths are Docker's: `/containers/{id}/json`. A parameter matches
 * anything, slashes included (image names), and literal paths win over parameters.
 */
import type { ApiRequest } from "./request.ts";
import type { ApiResponse } from "./response.ts";

export type Method = "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "OPTIONS";
export type Handler = (request: ApiRequest, response: ApiResponse) => Promise<void> | void;

export interface Route {
  readonly method: Method;
  readonly path: string;
  /** The API version that brought it, "1.25"; before that version it does not exist. */
  readonly since?: string;
  /** No span is recorded for it (liveness checks). */
  readonly untraced?: boolean;
  readonly handler: Handler;
}

export interface Match {
  readonly route: Route;
  readonly params: Readonly<Record<string, string>>;
}

interface Compiled {
  readonly route: Route;
  readonly pattern: RegExp;
  readonly names: readonly string[];
}

export class Router {
  readonly #literal = new Map<string, Route>();
  readonly #byPrefix = new Map<string, Compiled[]>();

  constructor(routes: readonly Route[]) {
    for (const route of routes) {
      if (!route.path.includes("{")) this.#literal.set(`${route.method} ${route.path}`, route);
      else this.#add(route);
    }
  }

  /** Which route answers; `path` is decoded and without its version. */
  find(method: string, path: string): Match | undefined {
    const literal = this.#literal.get(`${method} ${path}`);
    if (literal) return { route: literal, params: {} };
    for (const { route, pattern, names } of this.#byPrefix.get(prefixOf(method, path)) ?? []) {
      const found = pattern.exec(path);
      if (found) return { route, params: Object.fromEntries(names.map((name, i) => [name, found[i + 1]!])) };
    }
    return undefined;
  }

  #add(route: Route): void {
    const names = [...route.path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]!);
    const source = route.path.replace(/[.*+?^$()|[\]\\]/g, "\\$&").replace(/\{\w+\}/g, "(.+)");
    const prefix = prefixOf(route.method, route.path);
    const list = this.#byPrefix.get(prefix) ?? [];
    list.push({ route, pattern: new RegExp(`^${source}$`), names });
    // The longest literal tail first: "/images/{name}/json" before "/images/{name}".
    list.sort((a, b) => literalLength(b.route.path) - literalLength(a.route.path));
    this.#byPrefix.set(prefix, list);
  }
}

const prefixOf = (method: string, path: string): string => `${method} ${path.split("/", 2)[1]}`;
const literalLength = (path: string): number => path.replace(/\{\w+\}/g, "").length;
