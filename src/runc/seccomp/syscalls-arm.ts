export const syscallsArm = "";
