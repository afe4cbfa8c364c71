/** Imports a module of dist. The type checker does not have to find it. @param path within dist */
export const importBuilt = async <Module>(path: string): Promise<Module> =>
  import(new URL(`../../dist/${path}`, import.meta.url).href)
