/** Sentences of the HTTP frame that Docker's clients know. */
export const pageNotFound = "page not found";

export const versionTooOld = (version: string, minimum: string): string =>
  `client version ${version} is too old. Minimum supported API version is ${minimum}, please upgrade your client to a newer version`;

export const versionTooNew = (version: string, maximum: string): string =>
  `client version ${version} is too new. Maximum supported API version is ${maximum}`;

export const notASwarmManager =
  'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';

export const invalidFilter = (name: string): string => `invalid filter '${name}'`;
