/** Imports a module of dist, which the type checker need not find. @param path within dist */
export const importBuilt = async <Module>(path: string): Promise<Module> =>
  import(new URL(`../../dist/${path}`, import.meta.url).href)
