/** The process's exit statuses. */
export const ExitStatus = {
  Fine: 0,
  /** Failed while running. */
  Failed: 1,
  /** Bad arguments or bad configuration. */
  Refused: 2,
  /** `report --fail-on`: a condition was met. */
  ConditionMet: 3,
} as const;
