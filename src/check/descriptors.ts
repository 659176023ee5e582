/** A name look-up takes a few descriptors at once: files of the resolver, then sockets. */
const DESCRIPTORS_OF_A_LOOKUP = 8;

const LACKING = /\b(EMFILE|ENFILE)\b/;

/**
 * Whether an error says that the process (EMFILE) or the machine (ENFILE) has no file descriptor left.
 *
 * @param text the code or the message of the error
 */
export function saysDescriptorsLack(text: string): boolean {
  return LACKING.test(text);
}

/**
 * Whether so few file descriptors are left that a look-up may fail for want of one. getaddrinfo() says
 * "no such name" then, so the error itself does not tell.
 */
export function descriptorsLack(): boolean {
  const files: Deno.FsFile[] = [];
  try {
    while (files.length < DESCRIPTORS_OF_A_LOOKUP) files.push(Deno.openSync("/dev/null"));
    return false;
  } catch (error) {
    return saysDescriptorsLack(String((error as { code?: unknown }).code));
  } finally {
    for (const file of files) file.close();
  }
}
