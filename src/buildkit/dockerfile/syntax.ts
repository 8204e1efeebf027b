/** `# syntax=`: which languages this builder speaks itself. Docker would run the image; here the Dockerfile's own versions are built in. */
import type { Dockerfile } from "./ast.ts";
import { dockerfileError } from "./source-error.ts";
import { quoted } from "./text.ts";

/** docker/dockerfile and its upstream, of any version and registry spelling of Docker Hub; BuildKit's own name of the built-in one. */
const builtIn =
  /^(?:dockerfile\.v0|(?:(?:index\.)?docker\.io\/)?docker\/dockerfile(?:-upstream)?(?::[\w.-]+)?(?:@sha256:[0-9a-f]{64})?)$/;

/** Refuses a language that is not built in. The build argument BUILDKIT_SYNTAX stands above the directive. */
export function requireBuiltInSyntax(
  { file, lines, directives }: Pick<Dockerfile, "file" | "lines" | "directives">,
  buildArgs: Readonly<Record<string, string>>,
): void {
  const syntax = buildArgs.BUILDKIT_SYNTAX ?? directives.syntax;
  if (syntax === "" || builtIn.test(syntax)) return;
  const range = directives.locations.syntax ?? { file, startLine: 1, endLine: 1 };
  const message = `syntax ${quoted(syntax)} is not built in: only docker/dockerfile and docker/dockerfile-upstream are`;
  throw dockerfileError("unimplemented", message, { range, lines, token: syntax });
}
