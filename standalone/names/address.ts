/** The address by which every container asks for names; Docker has the same one. */
export const RESOLVER = "127.0.0.11";
