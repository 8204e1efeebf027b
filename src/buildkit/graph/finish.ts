/** The document of an image, made of its plan and of what the solve gave. Pure. */
import { finishBuildkit } from "./finish-buildkit.ts";
import { finishClassic } from "./finish-classic.ts";
import type { ImageDraft } from "./plan.ts";
import type { FinishedImage, SolveResults } from "./solve-results.ts";

/** The order of members is Docker's; `encodeDocument` (image-document.ts) makes the bytes. */
export const finishImage = (image: ImageDraft, results: SolveResults): FinishedImage =>
  image.dialect === "classic" ? finishClassic(image, results) : finishBuildkit(image, results);
