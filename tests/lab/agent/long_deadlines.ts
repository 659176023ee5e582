/** Flags for deadlines that no test reaches: what ends a check with them is not its time. */
export const LONG_DEADLINES: readonly string[] = [
  ...["--grpc-connect-timeout", "20000"],
  ...["--grpc-rpc-timeout", "20000"],
  ...["--check-timeout", "20000"],
];
