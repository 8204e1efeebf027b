/** The Docker release whose API we speak: clients compare it, so it is Docker's number, not ours. API 1.51 came with 28.3. */
export const DOCKER_VERSION = "28.3.3";
