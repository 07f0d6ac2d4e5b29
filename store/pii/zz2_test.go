package pii
import ("testing";"fmt";"os";"strings")
func TestZFile(t *testing.T){
 m,_:=New(MemoryVault(),Options{Entities: DatasetEntities()})
 b,_:=os.ReadFile(os.Getenv("ZF"))
 by:=map[string]int{}
 for _,line:=range strings.Split(string(b),"\n") {
  for _,f:=range m.Find(line) { by[f.Entity]++; a,z:=max(0,f.Start-24),min(len(line),f.End+24); fmt.Printf("Z %s %q [%s|%s %.2f] …%s…\n", f.Entity, line[f.Start:f.End], f.Recogniser,f.Evidence,f.Score, strings.ToValidUTF8(line[a:z],"")) }
 }
 fmt.Println("Z total", len(b), by)
}
